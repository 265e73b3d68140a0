//! [`Call`]: a request that was prepared and not sent. `wait()` sends it and waits on this thread; `await` does
//! the same in asyncio. Where its future runs is in `waiting.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyTuple};
use pyo3::{IntoPyObjectExt, intern};
use smol::Task;

use crate::failure::Failure;
use crate::{halts, waiting};

/// Makes the result of a call a Python object; it runs when the thread has the interpreter.
type Ready = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;
type Work = Pin<Box<dyn Future<Output = Result<Ready, Failure>> + Send>>;

enum State {
    New(Work),
    /// In asyncio: the iterator of the future of the loop.
    Awaited(Py<PyAny>),
    Used,
}

/// A request that was prepared. It is sent by `wait()` or `await`, once.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Call(Mutex<State>);

impl Call {
    /// A call that does this work when it is waited for.
    pub(crate) fn new<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Self
    where
        T: for<'py> IntoPyObject<'py> + Send + 'static,
        E: Into<Failure>,
    {
        let work = async move {
            let value = work.await.map_err(Into::into)?;
            let ready: Ready = Box::new(move |py| value.into_py_any(py));
            Ok(ready)
        };
        Self(Mutex::new(State::New(Box::pin(work))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work, for the first one who asks.
    fn work(&self) -> PyResult<Work> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Used) {
            State::New(work) => Ok(work),
            other => {
                *state = other;
                Err(PyRuntimeError::new_err("a call can be waited for once; make another call"))
            }
        }
    }

    /// The iterator of the future of the loop; the first call sends the request.
    fn iterator(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let State::Awaited(iterator) = &*self.state() {
            return Ok(iterator.clone_ref(py));
        }
        let iterator = begin(py, self.work()?)?;
        *self.state() = State::Awaited(iterator.clone_ref(py));
        Ok(iterator)
    }
}

#[pymethods]
impl Call {
    /// Sends the request and waits for its result on this thread. Other threads run meanwhile, and Ctrl-C ends
    /// the wait.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let work = self.work()?;
        let waited = waiting::wait(py, work);
        if waited.is_err() {
            // Ctrl-C: a move that was cancelled by it is being halted.
            halts::finish(py);
        }
        waited??(py)
    }

    fn __await__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.iterator(py)
    }

    /// As a coroutine, so that `asyncio.create_task` takes it.
    fn send(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.iterator(py)?.call_method1(py, intern!(py, "send"), (value,))
    }

    /// As a coroutine. A task that is cancelled before it ran sends nothing.
    #[pyo3(signature = (*error))]
    fn throw(&self, py: Python<'_>, error: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let never_sent = {
            let mut state = self.state();
            let is_new = matches!(*state, State::New(_));
            is_new.then(|| std::mem::replace(&mut *state, State::Used))
        };
        if never_sent.is_some() {
            return Err(PyErr::from_value(error.get_item(0)?));
        }
        self.iterator(py)?.call_method1(py, intern!(py, "throw"), error.clone())
    }

    /// As a coroutine. A request that was not sent is not sent any more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let state = std::mem::replace(&mut *self.state(), State::Used);
        if let State::Awaited(iterator) = state {
            iterator.call_method0(py, intern!(py, "close"))?;
        }
        Ok(())
    }
}

impl Drop for Call {
    /// A call that nobody has waited for did nothing, which is a mistake: a laser stays on, for example.
    fn drop(&mut self) {
        if !matches!(*self.state(), State::New(_)) {
            return;
        }
        Python::try_attach(|py| {
            let text = c"a call was made and never waited for: nothing was sent; write `await`";
            let warned = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1);
            if let Err(error) = warned {
                error.write_unraisable(py, None);
            }
        });
    }
}

fn asyncio(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static ASYNCIO: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let asyncio = ASYNCIO.get_or_try_init(py, || py.import("asyncio").map(Bound::unbind))?;
    Ok(asyncio.bind(py))
}

/// Starts the work for the loop that runs in this thread.
fn begin(py: Python<'_>, work: Work) -> PyResult<Py<PyAny>> {
    let event_loop = asyncio(py)?.call_method0(intern!(py, "get_running_loop"))?;
    let future = event_loop.call_method0(intern!(py, "create_future"))?;
    let (to_loop, result) = (event_loop.unbind(), future.clone().unbind());
    let task = waiting::spawn(async move {
        let done = work.await;
        // None: the interpreter is ending, so nobody waits for the result.
        Python::try_attach(|py| deliver(py, &to_loop, result, done));
    })?;
    let cancel = Bound::new(py, Cancel(Mutex::new(Some(task))))?;
    future.call_method1(intern!(py, "add_done_callback"), (cancel,))?;
    Ok(future.call_method0(intern!(py, "__await__"))?.unbind())
}

/// Hands the result to the loop, which takes it on its own thread.
fn deliver(py: Python<'_>, to_loop: &Py<PyAny>, future: Py<PyAny>, done: Result<Ready, Failure>) {
    let value = done.map_err(PyErr::from).and_then(|ready| ready(py));
    let settle = Settle(Mutex::new(Some((future, value))));
    let called = Bound::new(py, settle).and_then(|settle| {
        to_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (settle,))
    });
    // An error: the loop is closed, so nobody waits for the result.
    drop(called);
}

/// Gives a future of the loop its result, if nobody has cancelled it.
#[pyclass(module = "flamingo.aio", frozen)]
struct Settle(Mutex<Option<Settled>>);

/// The future of the loop, and its result.
type Settled = (Py<PyAny>, PyResult<Py<PyAny>>);

#[pymethods]
impl Settle {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((future, value)) = taken else { return Ok(()) };
        let future = future.into_bound(py);
        if future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        match value {
            Ok(value) => future.call_method1(intern!(py, "set_result"), (value,))?,
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                let error = PyRuntimeError::new_err("a call raised StopIteration");
                future.call_method1(intern!(py, "set_exception"), (error,))?
            }
            Err(error) => future.call_method1(intern!(py, "set_exception"), (error,))?,
        };
        Ok(())
    }
}

/// Cancels the work when the future of the loop has ended.
#[pyclass(module = "flamingo.aio", frozen)]
struct Cancel(Mutex<Option<Task<()>>>);

#[pymethods]
impl Cancel {
    fn __call__(&self, _future: &Bound<'_, PyAny>) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(task);
    }
}
