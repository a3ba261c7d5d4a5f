"""A Secret for each source has the keys that the loader reads, or is told what it lacks."""

import pytest

from callfleet_operator.policies.model_secret import missing_keys


@pytest.mark.parametrize(
    ("scheme", "keys", "missing"),
    [
        ("hf", {"token"}, ""),
        ("hf", {"HF_TOKEN"}, "token"),
        ("https", {"password"}, "token"),
        ("s3", {"accessKeyId", "secretAccessKey"}, ""),
        ("s3", {"accessKeyId", "secretAccessKey", "endpoint"}, ""),
        ("s3", {"accessKeyId"}, "secretAccessKey"),
        ("s3", {"secretAccessKey", "endpoint"}, "accessKeyId"),
        ("s3", {"AWS_ACCESS_KEY_ID"}, "accessKeyId and secretAccessKey"),
        ("s3", {"endpoint"}, ""),  # anybody may read it, at another service
        ("s3", {"region"}, ""),
        ("oci", {"token"}, ""),
        ("oci", {"username", "password"}, ""),
        ("oci", {"username"}, "password"),
        ("oci", {".dockerconfigjson"}, ""),
        ("oci", {"login"}, "token, or username and password, or .dockerconfigjson"),
        ("pvc", set(), ""),
        ("file", set(), ""),
    ],
)
def test_what_a_secret_lacks(scheme: str, keys: set[str], missing: str) -> None:
    assert missing_keys(scheme, keys) == missing
