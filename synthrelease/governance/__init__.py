"""Governance: policy, gate, register, keys, approvals, release, hand-off, verification."""
