"""The console: its pages are in `web`, what they ask for in `routes`, what they are told in `feed`."""
