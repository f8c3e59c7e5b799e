# Builds the nameserver, then puts the binary alone on a small base. Runs as a user without rights: container runtimes
# let every user inside bind port 53. The configuration must listen where the container is reached:
# [server] listen = ["0.0.0.0:53", "[::]:53"]. The health check asks the admin API at its default address.
#
#   docker build -t meridian .
#   docker run --rm -p 53:53/udp -p 53:53/tcp -v ./meridian:/etc/meridian:ro meridian

FROM rust:1-slim-bookworm AS build
WORKDIR /source
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY geodata geodata
COPY zones zones
RUN cargo build --release --locked --bin meridian && strip target/release/meridian

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Meridian" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.description="A global load balancer that works through DNS"
# Roots of trust for https checks.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
RUN useradd --system --home-dir /var/lib/meridian --create-home meridian
COPY --from=build /source/target/release/meridian /usr/local/bin/meridian
COPY LICENSE-MIT LICENSE-APACHE geodata/LICENSE-DBIP.txt /usr/share/doc/meridian/
USER meridian
WORKDIR /etc/meridian
EXPOSE 53/udp 53/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["meridian", "status"]
ENTRYPOINT ["meridian"]
CMD ["serve", "--config", "/etc/meridian/meridian.toml"]
