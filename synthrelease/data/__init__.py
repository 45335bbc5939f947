"""Data: files and databases to typed tables and back; split, fingerprint, pseudonyms, learned categories."""
