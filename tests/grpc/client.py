"""A client of gRPC that protoc makes of proto/phalanx.proto, as any user would."""
import atexit
import pathlib
import shutil
import sys
import tempfile

import grpc_tools.protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def make():
    folder = tempfile.mkdtemp(prefix="phalanx-grpc-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    failed = grpc_tools.protoc.main(["protoc", f"-I{PROTO}", f"--python_out={folder}",
                                     f"--grpc_python_out={folder}", "phalanx.proto"])
    if failed:
        raise AssertionError("protoc refuses phalanx.proto")
    sys.path.insert(0, folder)
    import phalanx_pb2
    import phalanx_pb2_grpc
    return phalanx_pb2, phalanx_pb2_grpc


pb, pb_grpc = make()
