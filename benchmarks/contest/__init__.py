"""The contest: this engine and its peers, on the same servers in the same run."""
