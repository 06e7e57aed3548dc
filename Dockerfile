# The image: one static program, and the authorities' certificates for TLS to a collector outside. No shell, no library, no package.
#
#   docker build --tag tokenwatch:0.1.0 .                         # for this machine's architecture
#   docker build --tag tokenwatch:0.1.0 --platform linux/arm64 .  # cross-compiled; no test of ours runs on arm64
#
# tests/cluster/image builds this very file with buildah, with the first stage replaced by a folder that holds what the stage would leave in /out.

FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95.0-bookworm AS build
ARG TARGETARCH
WORKDIR /src
# The linker and libc of the other architecture, where it is another.
RUN case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-gnu cross=x86-64-linux-gnu ;; \
      arm64) target=aarch64-unknown-linux-gnu cross=aarch64-linux-gnu ;; \
      *) echo "tokenwatch is built for amd64 and arm64, not for '$TARGETARCH'" >&2; exit 1 ;; \
    esac; \
    echo "$target" >/target; \
    [ "$TARGETARCH" = "$(dpkg --print-architecture)" ] || \
      { apt-get update && apt-get install --yes --no-install-recommends "gcc-$cross" "libc6-dev-$TARGETARCH-cross"; }
COPY rust-toolchain.toml ./
RUN rustup target add "$(cat /target)"
COPY . .
# As `cargo static` does it, for the architecture that was asked for.
RUN export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
           CC_x86_64_unknown_linux_gnu=x86_64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc; \
    cargo rustc --release --locked --package tokenwatch --bin tokenwatch --target "$(cat /target)" -- -C target-feature=+crt-static && \
    mkdir /out && cp "target/$(cat /target)/release/tokenwatch" /etc/ssl/certs/ca-certificates.crt /out/

FROM scratch
# Declared here, so that a new version does not make the first stage anew.
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="tokenwatch" \
      org.opencontainers.image.description="Names the Kubernetes service-account token that is going to fail, before the first 401" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/tokenwatch /tokenwatch
# So that `kubectl exec … -- tokenwatch check` finds it.
ENV PATH=/
# Nobody. The chart says otherwise where a rung of the privilege ladder needs it, and why.
USER 65532:65532
ENTRYPOINT ["/tokenwatch"]
CMD ["run"]
