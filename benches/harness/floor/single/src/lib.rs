//! One empty method in a module of its own. Here the compiler can inline what `PyO3` wraps around every method, which
//! it does not do in a module that has several of the same kind.

/// The floor below the floor.
#[pyo3::pymodule]
mod traincast_floor_single {
    use pyo3::prelude::*;

    /// A class with nothing in it.
    #[pyclass(frozen)]
    struct Empty;

    #[pymethods]
    impl Empty {
        #[new]
        fn new() -> Self {
            Self
        }

        /// What a method call of a native class costs at the very least.
        fn method(&self) {}
    }
}
