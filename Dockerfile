# Builds the nameserver, then puts the binary alone on a small base. Runs as a user without rights; the program itself has
# the right to bind port 53, for runtimes that do not let every user inside do so (the host's network, for one). The
# configuration must listen where the container is reached: [server] listen = ["0.0.0.0:53", "[::]:53"]. The health check
# asks the admin API at its default address.
#
#   docker build -t meridian .
#   docker run --rm --read-only -p 53:53/udp -p 53:53/tcp -v ./meridian:/etc/meridian:ro meridian
#
# tools/test-image builds it without a registry, from Debian's packages, and asks the container.

FROM rust:1-slim-bookworm AS build
WORKDIR /source
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY geodata geodata
COPY zones zones
RUN cargo build --release --locked --features pkcs11 --bin meridian && strip target/release/meridian

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Meridian" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.description="A global load balancer that works through DNS"
# Roots of trust for https checks. The program is copied and given its right in one layer, so that it is there once.
RUN --mount=type=bind,from=build,source=/source/target/release,target=/built \
    apt-get update && apt-get install --yes --no-install-recommends ca-certificates libcap2-bin \
    && useradd --system --uid 10053 --user-group --home-dir /var/lib/meridian --create-home meridian \
    && install /built/meridian /usr/local/bin/meridian && setcap cap_net_bind_service=+ep /usr/local/bin/meridian \
    && apt-get purge --yes --auto-remove libcap2-bin && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY LICENSE-MIT LICENSE-APACHE geodata/LICENSE-DBIP.txt src/cli/simulate/fonts/LICENSE-DEJAVU.txt /usr/share/doc/meridian/
USER 10053:10053
WORKDIR /etc/meridian
EXPOSE 53/udp 53/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["meridian", "status", "--live"]
ENTRYPOINT ["meridian"]
CMD ["serve", "--config", "/etc/meridian/meridian.toml"]
