"""What a server is: its catalogue, its names, its statements, its limits. No other package asks which server it is."""
