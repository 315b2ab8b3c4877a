# Two images from one build: `control-plane` (also the admin's command line) and `edge` (Envoy with the filter), both
# without a shell and not as root; and for compose `setup` (makes keys) and `demo` (the dev issuer and the fake GitHub).

FROM rust:1.95.0-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /src
# Envoy's image has no libgcc, so what starts Envoy is linked statically.
RUN rustup target add wasm32-wasip1 "$(uname -m)-unknown-linux-musl"
COPY . .
# Queries are checked against .sqlx, so the build needs no database.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin runner-tokens --bin dev-issuer --bin fake-github \
    && cargo build --release --locked --bin edge --target "$(uname -m)-unknown-linux-musl" \
    && cargo build --profile filter --locked --package oidc-filter --target wasm32-wasip1 \
    && mkdir /out \
    && cp target/release/runner-tokens target/release/dev-issuer target/release/fake-github \
          "target/$(uname -m)-unknown-linux-musl/release/edge" target/wasm32-wasip1/filter/oidc_filter.wasm /out/

FROM gcr.io/distroless/cc-debian12:nonroot AS control-plane
COPY --from=build /out/runner-tokens /usr/local/bin/
USER 65532:65532
# The service, and metrics if METRICS_ADDR says so.
EXPOSE 8000 9464
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/runner-tokens", "health"]
ENTRYPOINT ["/usr/local/bin/runner-tokens"]
CMD ["serve"]

FROM envoyproxy/envoy:distroless-v1.40.0 AS edge
COPY --from=build /out/oidc_filter.wasm /etc/envoy/
COPY envoy/tls.yaml /etc/envoy/
COPY --from=build /out/edge /usr/local/bin/
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/edge", "health"]
ENTRYPOINT ["/usr/local/bin/edge"]
CMD ["run"]

# Runs once, as root because it reads the operator's key file, and gives what it makes to the user of the others.
FROM debian:bookworm-slim AS setup
COPY --from=build /out/runner-tokens /usr/local/bin/
COPY --chmod=755 docker/setup.sh /usr/local/bin/setup
HEALTHCHECK NONE
ENTRYPOINT ["setup"]

FROM debian:bookworm-slim AS demo
COPY --from=build /out/dev-issuer /out/fake-github /usr/local/bin/
USER 65532:65532
HEALTHCHECK NONE
