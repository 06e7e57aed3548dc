# The image: one static program, and the certificates of the public authorities for TLS to an
# external collector. No shell, no library, no package.
#
#   docker build --tag tokenwatch:0.1.0 .                         # for this machine's architecture
#   docker build --tag tokenwatch:0.1.0 --platform linux/arm64 .  # cross-compiled, untested
#
# tests/cluster/image builds this file with buildah. It replaces the first stage with a folder that
# holds the same files as the stage's /out.

FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
ARG TARGETARCH
WORKDIR /src
# For another architecture: its linker and its libc.
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu cross=x86-64-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu cross=aarch64-linux-gnu ;; \
      *) echo "cannot build for '$TARGETARCH': tokenwatch supports amd64 and arm64" >&2; exit 1 ;; \
    esac; \
    echo "$target" >/target; \
    [ "$TARGETARCH" = "$(dpkg --print-architecture)" ] || \
      { apt-get update && apt-get install --yes --no-install-recommends \
        "gcc-$cross" "libc6-dev-$TARGETARCH-cross"; }
COPY rust-toolchain.toml ./
RUN rustup target add "$(cat /target)"
COPY . .
# Like `cargo static`, for the requested architecture.
RUN export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
           CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
           CC_x86_64_unknown_linux_gnu=x86_64-linux-gnu-gcc \
           CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc; \
    cargo rustc --release --locked --package tokenwatch --bin tokenwatch \
      --target "$(cat /target)" -- -C target-feature=+crt-static \
      -C link-arg=-Wl,-z,pack-relative-relocs && \
    mkdir /out && \
    cp "target/$(cat /target)/release/tokenwatch" /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch
# Declared here, so that a new version does not rebuild the first stage.
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="tokenwatch" \
      org.opencontainers.image.description="Names the Kubernetes service-account tokens that are about to fail, before the first 401" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tokenwatch /tokenwatch
# So that `kubectl exec … -- tokenwatch check` finds the program.
ENV PATH=/
# An unprivileged user. The chart sets user 0, which every privilege level needs
# (docs/deployment.md explains why).
USER 65532:65532
ENTRYPOINT ["/tokenwatch"]
CMD ["run"]
