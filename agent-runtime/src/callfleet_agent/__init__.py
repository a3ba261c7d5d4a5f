"""What runs in an agent pod: connector, workers, services, and the callfleet command."""

import os

# gRPC reads this once, when it is imported. Its servers cannot be told a least version of TLS: with
# a suite that an EC certificate cannot use, TLS 1.2 finds none in common, and 1.3 is what is left.
# Other kinds of key are refused (services/tls.py).
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"
