"""From a trained policy to something that serves."""
