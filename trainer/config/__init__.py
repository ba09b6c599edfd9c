"""The run file: what it may say (`models`), how it is read (`load`), and the presets that ship."""
