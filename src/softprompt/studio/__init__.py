"""`softprompt studio`: a folder of runs in a browser on this machine; nothing leaves it, and torch waits for a need."""
