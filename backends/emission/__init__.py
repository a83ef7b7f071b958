"""From a scheduled graph to a program; nothing here runs one."""
