"""What the commands of the command line share, and how things look on a terminal."""
