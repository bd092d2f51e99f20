"""The command line of tiledsim."""

if __name__ == "cli":
    raise ImportError("import tiledsim.cli, not cli")
