# Two images from one build: `control-plane` (also the admin's command line) and `edge` (Envoy with the filter), and for
# a look around `demo` (the dev issuer and the fake GitHub).

FROM rust:1.95-bookworm AS build
WORKDIR /src
RUN rustup target add wasm32-wasip1
COPY . .
# Queries are checked against .sqlx, so the build needs no database.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin runner-tokens --bin dev-issuer --bin fake-github \
    && cargo build --release --locked --package oidc-filter --target wasm32-wasip1 \
    && mkdir /out \
    && cp target/release/runner-tokens target/release/dev-issuer target/release/fake-github \
          target/wasm32-wasip1/release/oidc_filter.wasm /out/

FROM debian:bookworm-slim AS control-plane
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/runner-tokens /usr/local/bin/
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["runner-tokens"]
CMD ["serve"]

FROM debian:bookworm-slim AS demo
COPY --from=build /out/runner-tokens /out/dev-issuer /out/fake-github /usr/local/bin/
RUN install --directory --owner=65532 /keys
USER 65532:65532

FROM envoyproxy/envoy:v1.40.0 AS edge
COPY --from=build /out/oidc_filter.wasm /etc/envoy/oidc_filter.wasm
COPY envoy/envoy.yaml /etc/envoy/envoy.yaml.template
COPY --chmod=755 envoy/entrypoint.sh /usr/local/bin/edge
USER envoy
EXPOSE 8080
ENTRYPOINT ["edge"]
