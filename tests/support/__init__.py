"""What the tests are made with: a real server process, a scripted provider, raw clients."""
