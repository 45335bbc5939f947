import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # the sample run is shared with the tests beside this folder
