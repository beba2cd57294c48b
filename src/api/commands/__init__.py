"""The commands of the command line, one group a file, each imported only when asked for."""
