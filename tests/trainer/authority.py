"""A certificate authority of a test's own."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A CA, with its certificate in a file.

    Args:
        folder: where its files and those that it signs are.
        name: its own.
        addresses: IP addresses that each certificate is for, besides the name `localhost`.
    """

    def __init__(self, folder, name, addresses=()):
        self.folder, self.name = folder, name
        self.names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses)]
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(
            self._sign(name, self.key.public_key(), is_ca=True).public_bytes(serialization.Encoding.PEM)
        )

    def _sign(self, name, public, *, is_ca=False):
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(self.names), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def certificate(self, name):
        """A certificate and its key, as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        paths = self.folder / f"{self.name}-{name}.pem", self.folder / f"{self.name}-{name}.key"
        paths[0].write_bytes(self._sign(name, key.public_key()).public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths
