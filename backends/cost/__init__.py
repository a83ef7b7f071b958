"""What a program costs: counters of what it does, and prices of its target; nothing here executes one."""
