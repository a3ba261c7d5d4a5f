"""Who is who in an installation: names, certificates, the internal CA, tokens and their keys.

Pure: what time it is comes in, Secrets are read and written elsewhere. The agent's package uses it
for identities of development.
"""
