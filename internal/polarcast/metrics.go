package polarcast

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"polarcast/pipeline"
)

// Metrics serves what this process does, for Prometheus, and /healthz.
type Metrics struct {
	mu   sync.Mutex
	last map[string]pipeline.Progress // by stage and target

	srv  *http.Server
	addr string
}

// The metrics. All of them have the labels backup, stage and target; target is empty for stages of the source.
var (
	labels        = []string{"backup", "stage", "target"}
	descRead      = prometheus.NewDesc("polarcast_read_bytes_total", "Raw bytes that the stage has read from the source.", labels, nil)
	descSent      = prometheus.NewDesc("polarcast_sent_bytes_total", "Compressed bytes that the stage has published.", labels, nil)
	descWritten   = prometheus.NewDesc("polarcast_written_bytes_total", "Raw bytes that the stage has made durable in the target.", labels, nil)
	descUnchanged = prometheus.NewDesc("polarcast_unchanged_bytes_total", "Raw bytes that were found equal to what was delivered before.", labels, nil)
	descFiles     = prometheus.NewDesc("polarcast_files_total", "Files that the stage has finished.", labels, nil)
	descTotal     = prometheus.NewDesc("polarcast_expected_bytes", "Raw bytes that the server says there are, 0 when it did not.", labels, nil)
	descRate      = prometheus.NewDesc("polarcast_rate_bytes_per_second", "Raw bytes per second in the last report.", labels, nil)
	descWaiting   = prometheus.NewDesc("polarcast_waiting", "1 when the stage waits for something else.", labels, nil)
	descReport    = prometheus.NewDesc("polarcast_last_report_timestamp_seconds", "When the stage last told how far it is.", labels, nil)
)

// ServeMetrics listens on addr and shows what client reports, until Close.
func ServeMetrics(addr string, client *pipeline.Client) (*Metrics, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("could not listen for metrics on \"%s\": %w", addr, err)
	}
	m := &Metrics{last: map[string]pipeline.Progress{}, addr: l.Addr().String()}
	if client != nil {
		client.OnProgress(m.report)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if client != nil && !client.Connected() {
			http.Error(w, "no connection to NATS", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	m.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := m.srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close()
		}
	}()
	return m, nil
}

// Addr is where the metrics are served.
func (m *Metrics) Addr() string { return m.addr }

// Close ends the server; requests on their way get a moment.
func (m *Metrics) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = m.srv.Shutdown(ctx)
}

func (m *Metrics) report(p pipeline.Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last[p.Stage+" "+p.Target] = p
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRead, descSent, descWritten, descUnchanged, descFiles, descTotal, descRate, descWaiting, descReport} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.last {
		put := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, t, v, p.Backup, p.Stage, p.Target)
		}
		put(descRead, prometheus.CounterValue, float64(p.Read))
		put(descSent, prometheus.CounterValue, float64(p.Sent))
		put(descWritten, prometheus.CounterValue, float64(p.Written))
		put(descUnchanged, prometheus.CounterValue, float64(p.Unchanged))
		put(descFiles, prometheus.CounterValue, float64(p.Files))
		put(descTotal, prometheus.GaugeValue, float64(p.Total))
		put(descRate, prometheus.GaugeValue, p.Rate)
		waiting := 0.0
		if p.Waiting != "" {
			waiting = 1
		}
		put(descWaiting, prometheus.GaugeValue, waiting)
		put(descReport, prometheus.GaugeValue, float64(p.Time.UnixNano())/1e9)
	}
}
