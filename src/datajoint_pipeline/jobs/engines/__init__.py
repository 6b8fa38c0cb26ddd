"""Files that have Slurm, Kubernetes or compose start workers, made from the classes of ``workers.toml``."""
