"""What does `brokerctl doctor` look at? One module for each place."""
