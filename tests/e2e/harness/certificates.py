# e2e/harness/certificates.py - a throwaway authority: certificates made by the openssl program, and contexts to use them.
import os
import ssl
import subprocess


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Certificate:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    def pair(self):
        """As a listener's `certificates` has it."""
        return {"cert": self.cert, "key": self.key}


class Authority:
    """Makes certificates in a folder, each signed by it. Names are those of files too."""

    def __init__(self, directory, name="ca"):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.cert, self.key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365",
                "-subj", f"/CN=test authority {name}", "-keyout", self.key, "-out", self.cert)

    def path(self, name):
        return os.path.join(self.directory, name)

    def make(self, name, *sans, days=90, kind="ec", cn=None):
        """sans: "DNS:shop.example.com", "IP:127.0.0.1"..."""
        key, request, cert = self.path(f"{name}.key"), self.path(f"{name}.csr"), self.path(f"{name}.pem")
        how = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else ["-newkey", "rsa:2048"]
        more = ["-addext", f"subjectAltName={','.join(sans)}"] if sans else []
        openssl("req", "-new", *how, "-nodes", "-subj", f"/CN={cn or name}", *more, "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-days", str(days),
                "-copy_extensions", "copyall", "-out", cert)
        return Certificate(cert, key)

    def client(self, certificate=None, version=None, alpn=("http/1.1",), verify=True):
        """The context of a client that trusts this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if verify:
            context.load_verify_locations(self.cert)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate.cert, certificate.key)
        if version:
            context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def server(self, certificate, requires=None):
        """The context of a server; `requires`: an authority whose certificates clients must show."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        context.set_alpn_protocols(["http/1.1"])
        if requires:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(requires.cert)
        return context
