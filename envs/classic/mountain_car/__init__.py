"""Mountain car, with discrete and with continuous force."""
