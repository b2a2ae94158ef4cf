package dropin

import (
	"context"
	"errors"
)

// Told is an error that the user has read already, before what was done about it.
type Told struct{ Err error }

func (t Told) Error() string { return t.Err.Error() }
func (t Told) Unwrap() error { return t.Err }

// tell shows the error that ends the run, as pg_basebackup does before it cleans up, and then cleans up.
func (r *backup) tell(err error, cleanUp func() error) error {
	r.o.UI.Failed(err)
	told := error(Told{err})
	if e := cleanUp(); e != nil {
		return r.also(told, e)
	}
	return told
}

// also adds an error that came after the one that ends the run.
func (r *backup) also(err, further error) error {
	if told := new(Told); errors.As(err, told) {
		r.o.UI.Failed(further)
		return Told{errors.Join(told.Err, further)}
	}
	return errors.Join(err, further)
}

// cause is why the context ended when that is all that an error says.
func cause(ctx context.Context, err error) error {
	if told := new(Told); ctx.Err() == nil || !errors.Is(err, context.Canceled) || errors.As(err, told) {
		return err
	}
	return context.Cause(ctx)
}
