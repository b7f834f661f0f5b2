"""A protoc plugin that runs one of the generators built into grpcio-tools.

buf talks to plugins by stdin and stdout; the generators for messages (`python`), their types (`pyi`) and gRPC
(`grpc_python`) sit inside grpcio-tools' protoc and are no plugins by themselves. usage: plugin.py GENERATOR
"""

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def generate(generator: str, request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Returns the files that `generator` makes of the request's files; raises RuntimeError when it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        descriptors, output = Path(scratch, "descriptors.binpb"), Path(scratch, "output")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        output.mkdir()
        wanted = set(request.file_to_generate)
        if generator.startswith("grpc"):  # it would make an empty module of every file without a service
            wanted = {file.name for file in request.proto_file if file.name in wanted and file.service}
        arguments = [f"--descriptor_set_in={descriptors}", f"--{generator}_out={output}", *sorted(wanted)]
        if wanted and protoc.main(["protoc", *arguments]) != 0:
            raise RuntimeError(f"the {generator} generator failed")
        response = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
        for path in sorted(output.rglob("*")):
            if path.is_file():
                response.file.add(name=path.relative_to(output).as_posix(), content=path.read_text("utf-8"))
        return response


if __name__ == "__main__":
    message = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(sys.argv[1], message).SerializeToString())
