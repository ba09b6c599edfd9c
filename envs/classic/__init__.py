"""Classic control tasks, a folder for each; the two mountain cars share one."""
