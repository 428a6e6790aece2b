"""Making the views anew from the log, beside the live ones, in a process of its own."""
