"""What people see in a browser: templates, small modules of script, and who is looking."""
