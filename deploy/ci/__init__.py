"""What continuous integration does with this repository; each part is a make target, for any machine."""
