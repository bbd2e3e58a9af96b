"""Who says a person is who they are: an OpenID provider."""
