"""One function a command: values in, values out."""
