"""What stock tools of gRPC use: health, reflection, TLS, keys."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import common
import grpc
from common import pb
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import \
    ProtoReflectionDescriptorDatabase

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health(common.ServerCase):
    def setUp(self):
        super().setUp()
        self.health = health_pb2_grpc.HealthStub(self.channel)
        self.addCleanup(self.server.tell, "ready")

    def check(self, service=""):
        return self.health.Check(health_pb2.HealthCheckRequest(service=service)).status

    def test_a_server_that_is_ready_serves(self):
        self.assertEqual(self.check(), SERVING)
        self.assertEqual(self.check("phalanx.v1.Inference"), SERVING)

    def test_one_that_is_not_does_not(self):
        self.server.tell("starting")
        self.assertEqual(self.check(), NOT_SERVING)

    def test_an_unknown_service_is_not_found(self):
        self.fails(lambda: self.check("nothing"), StatusCode.NOT_FOUND)

    def test_a_watcher_is_told_within_a_second(self):
        watch = self.health.Watch(health_pb2.HealthCheckRequest(), timeout=common.WAIT_S)
        self.assertEqual(next(watch).status, SERVING)
        self.server.tell("starting")
        self.assertEqual(next(watch).status, NOT_SERVING)
        self.server.tell("ready")
        self.assertEqual(next(watch).status, SERVING)
        watch.cancel()

    def test_a_watcher_of_nothing_is_told_so(self):
        watch = self.health.Watch(health_pb2.HealthCheckRequest(service="nothing"))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()


class Reflection(common.ServerCase):
    def setUp(self):
        super().setUp()
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = DescriptorPool(self.database)

    def test_services_are_listed(self):
        self.assertEqual(set(self.database.get_services()), {
            "phalanx.v1.Inference", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"})

    def test_a_service_is_described_whole(self):
        service = self.pool.FindServiceByName("phalanx.v1.Inference")
        self.assertEqual({m.name for m in service.methods},
                         {m.name for m in pb.DESCRIPTOR.services_by_name["Inference"].methods})
        field = self.pool.FindMessageTypeByName("phalanx.v1.Sampling").fields_by_name["top_p"]
        self.assertTrue(field.has_presence)

    def test_what_was_built_in_is_the_file_that_clients_have(self):
        def described(file):
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            parts = list(proto.message_type)
            for message in parts:  # protoc writes the JSON names into a set, and not into Python
                parts += message.nested_type
                for field in message.field:
                    field.ClearField("json_name")
            return proto

        self.assertEqual(described(self.pool.FindFileByName("phalanx.proto")),
                         described(pb.DESCRIPTOR))

    def test_symbols_inside_are_found_and_others_are_not(self):
        def found(symbol):
            stub = reflection_pb2_grpc.ServerReflectionStub(self.channel)
            request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
            answer = next(iter(stub.ServerReflectionInfo(iter([request]))))
            return answer.HasField("file_descriptor_response")

        for symbol in ("phalanx.v1.Inference.Generate", "phalanx.v1.Sampling",
                       "phalanx.v1.Sampling.top_p", "phalanx.v1.FINISH_REASON_STOP",
                       "grpc.health.v1.HealthCheckResponse.ServingStatus"):
            self.assertTrue(found(symbol), symbol)
        for symbol in ("", "phalanx", "phalanx.v1", "phalanx.v1.Samplings", "phalanx.v1.Inference.x",
                       "x" * 10_000):
            self.assertFalse(found(symbol), symbol)


class Keys(common.ServerCase):
    WORDS = ("--key", "secret")

    def test_without_the_key_only_health_answers(self):
        calls = [lambda: self.stub.Generate(pb.GenerateRequest(text="x")),
                 lambda: self.stub.GetServerInfo(pb.GetServerInfoRequest()),
                 lambda: self.channel.unary_unary("/no/such")(b"")]
        for call in calls:
            error = self.fails(call, StatusCode.UNAUTHENTICATED)
            self.assertEqual(common.trailer(error, "phalanx-code"), "unauthorized")
        health = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, SERVING)

    def test_with_a_wrong_or_endless_key_nothing_answers(self):
        for key in ("Bearer wrong", "secret", "Bearer " + "x" * 5000, ""):
            self.fails(lambda k=key: self.stub.Generate(pb.GenerateRequest(text="x"),
                                                        metadata=(("authorization", k),)),
                       StatusCode.UNAUTHENTICATED)

    def test_with_the_key_everything_answers(self):
        key = (("authorization", "Bearer secret"),)
        self.assertTrue(list(self.stub.Generate(pb.GenerateRequest(text="x"), metadata=key)))

    def test_abort_reaches_only_calls_of_the_same_key(self):
        mine, other = ((("authorization", f"Bearer secret{x}"),) for x in ("", "-two"))
        stream = self.stub.Generate(pb.GenerateRequest(text="forever", request_id="a"),
                                    metadata=mine)
        next(stream)
        abort = pb.AbortRequest(request_ids=["a"])
        self.assertEqual(self.stub.Abort(abort, metadata=other).n_aborted, 0)
        self.assertEqual(self.stub.Abort(abort, metadata=mine).n_aborted, 1)
        self.fails(lambda: stream, StatusCode.CANCELLED)


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Tls(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cert, self.key = (pathlib.Path(folder.name) / name for name in ("cert", "key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)

    def test_a_client_that_trusts_the_certificate_is_answered(self):
        server = common.FakeServer("--tls", self.cert, self.key)
        self.addCleanup(server.close)
        port = server.address.split(":")[1]
        trust = grpc.ssl_channel_credentials(self.cert.read_bytes())
        with grpc.secure_channel(f"localhost:{port}", trust) as channel:
            stub = common.pb_grpc.InferenceStub(channel)
            self.assertEqual(len(list(stub.Generate(pb.GenerateRequest(text="x")))), 18)
        with grpc.insecure_channel(server.address) as channel:
            stub = common.pb_grpc.InferenceStub(channel)
            with self.assertRaises(grpc.RpcError) as caught:
                stub.GetModelInfo(pb.GetModelInfoRequest(), timeout=5)
            self.assertIn(caught.exception.code(),
                          (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED))

    def test_a_file_that_is_no_certificate_is_refused_at_the_start(self):
        self.cert.write_text("nothing")
        with self.assertRaisesRegex(AssertionError, "ended with 2"):
            common.FakeServer("--tls", self.cert, self.key)
        with self.assertRaisesRegex(AssertionError, "ended with 2"):
            common.FakeServer("--tls", "/no/such/file", self.key)


if __name__ == "__main__":
    common.main()
