"""What can a client ask for? One module for each noun, one method for each verb."""
