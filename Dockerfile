# polar_basebackup and polarcast. PFS's client library is loaded at run time: mount it into the container where it is needed.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -o /out/ ./cmd/polar_basebackup ./cmd/polarcast

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
 && groupadd -r -g 999 postgres && useradd -r -u 999 -g postgres -d /var/lib/postgresql -m postgres \
 && install -d -o postgres -g postgres -m 700 /target
COPY --from=build /out/ /usr/local/bin/
# The owner of what is received, as in the official image of PostgreSQL.
USER postgres
ENTRYPOINT ["polarcast"]
CMD ["help"]
