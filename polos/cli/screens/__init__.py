"""What people see: plain data in, things that rich can print out. Nothing here asks or waits."""
