"""The model that a pool's engine loads: where it comes from, and where it is kept."""

from typing import ClassVar, Literal

from pydantic import Field

from .modeluri import URI_RULES
from .schema import DnsSubdomain, Int, Model, Quantity, Rule


class ModelCache(Model):
    """Where a downloaded model is kept."""

    size: Quantity = Field(description="Size of the volume, for example 20Gi.")
    storage_class_name: DnsSubdomain | None = Field(
        default=None, description="StorageClass; absent means the cluster's default."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce",
        description=(
            "ReadWriteMany lets replicas on several nodes share the cache; with ReadWriteOnce "
            "they must fit on one node."
        ),
    )


class InferenceModel(Model):
    """The model that an engine loads."""

    uri: str | None = Field(
        default=None,
        min_length=5,
        max_length=1024,
        description=(
            "Where the model comes from: hf://owner/repository[/path][@revision], "
            "s3://bucket/path, oci://registry/repository:tag, pvc://claim/path, "
            "https://host/path, or file:///path on the node, which the operator's settings must "
            "allow."
        ),
    )
    file: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
        description="File inside the model that the engine opens, when uri names a folder.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
        description="Name of the model in requests; absent means the engine's own default.",
    )
    checksum: str | None = Field(
        default=None,
        max_length=71,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description=(
            "Digest that the model must have, sha256: and 64 hex digits, as `callfleet model "
            "checksum` prints it."
        ),
    )
    credentials_secret_name: DnsSubdomain | None = Field(
        default=None,
        description=(
            "Secret with what the source asks for: token (hf, https, oci), username and password, "
            "or .dockerconfigjson (oci), or accessKeyId, secretAccessKey, region and endpoint "
            "(s3). With it an image (oci) is unpacked; one that is mounted as a volume is pulled "
            "with imagePullSecrets."
        ),
    )
    cache: ModelCache | None = Field(
        default=None,
        description="Volume that keeps the model; absent: each pod loads it for itself.",
    )
    load_seconds: Int | None = Field(
        default=None,
        ge=10,
        le=7200,
        description=(
            "How long the engine may take from its start until it answers, in seconds; absent "
            "means 1800 for vllm and 600 for others. The download does not count."
        ),
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.uri) || !has(self.checksum)",
            message="is of use with uri only; remove it or set uri",
            field_path=".checksum",
            holds=lambda m: m.uri is not None or m.checksum is None,
        ),
        Rule(
            cel="has(self.uri) || !has(self.cache)",
            message="is of use with uri only; remove it or set uri",
            field_path=".cache",
            holds=lambda m: m.uri is not None or m.cache is None,
        ),
        Rule(
            cel="!has(self.cache) || !has(self.uri) || self.uri.matches('^(hf|s3|oci|https)://')",
            message="is for what is downloaded (hf, s3, oci, https); remove cache",
            field_path=".cache",
            holds=lambda m: m.cache is None or m.uri is None or m.downloaded,
        ),
        Rule(
            cel="!has(self.credentialsSecretName) || (has(self.uri) && "
            "self.uri.matches('^(hf|s3|oci|https)://'))",
            message="is for what is downloaded (hf, s3, oci, https); remove it",
            field_path=".credentialsSecretName",
            holds=lambda m: m.credentials_secret_name is None or m.downloaded,
        ),
        *URI_RULES,
    )

    @property
    def scheme(self) -> str:
        """hf, s3, oci, pvc, https or file; empty without uri."""
        return (self.uri or "").partition("://")[0]

    @property
    def downloaded(self) -> bool:
        """Whether a loader brings it, as opposed to a volume that has it."""
        return self.scheme in ("hf", "s3", "oci", "https")

    def names(self, *endings: str) -> bool:
        """Whether what the engine opens is one file with such an ending."""
        address = (self.uri or "").partition("@")[0]
        return address.endswith(endings) or (self.file or "").endswith(endings)
