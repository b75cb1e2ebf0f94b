"""Seeds, snapshots, export and import: a server's state as a whole."""
