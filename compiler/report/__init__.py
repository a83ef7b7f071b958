"""What people look at: schedules as traces and waves, and the page that tells all of a program."""
