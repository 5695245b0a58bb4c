"""A pyftpdlib server for one test: see pyftpdlib_linux.go."""
import json
import logging
import os
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

with open(sys.argv[1]) as f:
    conf = json.load(f)

logging.basicConfig(level=logging.INFO)
handler = FTPHandler
if "certificate" in conf:
    from pyftpdlib.handlers import TLS_FTPHandler

    handler = TLS_FTPHandler
    handler.certfile = conf["certificate"]
    handler.tls_control_required = handler.tls_data_required = conf["require"]
    handler.ssl_context = handler.get_ssl_context()  # reads the key, which is root's
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_user(conf["user"], conf["password"], conf["home"], perm="elradfmwMT")
handler.passive_ports = range(conf["min"], conf["max"] + 1)
for name, value in conf["extra"].items():
    setattr(handler, name, value)

server = FTPServer((conf["host"], conf["port"]), handler)
server.max_cons = 1000
os.setgroups([])
os.setgid(conf["gid"])
os.setuid(conf["uid"])
server.serve_forever(handle_exit=False)
