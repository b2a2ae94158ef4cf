package pipeline

import (
	"context"
	"crypto/rand"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPipeline carries messages of the size that an lz4 chunk has from a publisher through the embedded server to one target, which
// acknowledges each. Use -benchtime 65536x for 4 GiB. Besides the speed it reports the processor time and the largest resident size.
func BenchmarkPipeline(b *testing.B) {
	for _, size := range []int{64 << 10, 256 << 10} {
		b.Run(strconv.Itoa(size>>10)+"KiB", func(b *testing.B) { benchmarkPipeline(b, size) })
	}
}

func benchmarkPipeline(b *testing.B, size int) {
	dir := b.TempDir()
	if d := os.Getenv("POLARCAST_BENCH_DIR"); d != "" {
		dir = d
	}
	c := connect(b, ClientOptions{Server: startServer(b, ServerOptions{StoreDir: dir})})
	createBackup(b, c, "bench", StreamOptions{MaxBytes: 256 << 20, Targets: []string{"n1"}})
	inFlight, _ := strconv.ParseInt(os.Getenv("POLARCAST_BENCH_IN_FLIGHT"), 10, 64) // bytes
	p := c.ChunkPublisher("bench", PublisherOptions{MaxBytesInFlight: inFlight})
	k := consumer(b, c, "bench", "n1", ConsumerOptions{MaxBytesInFlight: inFlight})
	random := make([]byte, 1<<20)
	_, _ = rand.Read(random)
	ctx := context.Background()
	b.SetBytes(int64(size))
	cpu := cpuSeconds()
	b.ResetTimer()
	go func() {
		for i := range b.N {
			buf := append(p.Buffer(), random[i%512:i%512+size]...)
			if err := p.Publish(ctx, SubjectData, buf, nil); err != nil {
				b.Error(err)
			}
		}
	}()
	start := time.Now()
	for range b.N {
		m, err := k.Next(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Ack(); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	if err := k.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	gb := float64(b.N) * float64(size) / (1 << 30)
	b.ReportMetric((cpuSeconds()-cpu)/gb, "cpu-s/GiB")
	b.ReportMetric(float64(b.N)*float64(size)/1e6/time.Since(start).Seconds(), "MB/s-wall")
	b.ReportMetric(peakMiB(), "peak-MiB")
}

func cpuSeconds() float64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func peakMiB() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}
