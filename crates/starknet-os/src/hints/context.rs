//! What a hint has at hand: the machine, the scopes, its `ids`, and the state of the run.

use std::any::Any;
use std::collections::HashMap;

use cairo_vm::hint_processor::builtin_hint_processor::builtin_hint_processor_definition::HintProcessorData;
use cairo_vm::hint_processor::builtin_hint_processor::hint_utils::{
    get_integer_from_var_name, get_ptr_from_var_name, get_relocatable_from_var_name,
    insert_value_from_var_name, insert_value_into_ap,
};
use cairo_vm::hint_processor::hint_processor_definition::HintExtension;
use cairo_vm::types::exec_scope::ExecutionScopes;
use cairo_vm::types::relocatable::{MaybeRelocatable, Relocatable};
use cairo_vm::vm::vm_core::VirtualMachine;
use num_traits::ToPrimitive;
use starknet_types_core::felt::Felt;

use super::HintResult;
use crate::error::HintFailure;
use crate::state::OsState;

/// The arguments of a hint of StarknetOS.
pub(crate) type HintContext<'run, 'input> = Context<'run, OsState<'input>>;

/// The arguments of a hint of a program whose run has such a state. `ids` are the Cairo variables that the hint's text
/// can name.
pub(crate) struct Context<'run, State> {
    pub(crate) vm: &'run mut VirtualMachine,
    pub(crate) scopes: &'run mut ExecutionScopes,
    pub(crate) data: &'run HintProcessorData,
    pub(crate) os: &'run mut State,
    /// Hints of code that this hint loads into memory.
    pub(crate) extension: HintExtension,
}

impl<State> Context<'_, State> {
    /// A number.
    pub(crate) fn felt(&self, name: &str) -> Result<Felt, HintFailure> {
        Ok(get_integer_from_var_name(name, self.vm, &self.data.ids_data, &self.data.ap_tracking)?)
    }

    /// A number that must fit into 64 bits.
    pub(crate) fn u64(&self, name: &'static str) -> Result<u64, HintFailure> {
        let value = self.felt(name)?;
        value.to_u64().ok_or(HintFailure::OutOfRange { what: name, value })
    }

    /// A number that must fit into a length.
    pub(crate) fn usize(&self, name: &'static str) -> Result<usize, HintFailure> {
        let value = self.felt(name)?;
        value.to_usize().ok_or(HintFailure::OutOfRange { what: name, value })
    }

    /// A number that must be 0 or 1.
    pub(crate) fn bit(&self, name: &'static str) -> Result<bool, HintFailure> {
        match self.felt(name)? {
            value if value == Felt::ZERO => Ok(false),
            value if value == Felt::ONE => Ok(true),
            value => Err(HintFailure::OutOfRange { what: name, value }),
        }
    }

    /// A pointer that a variable holds.
    pub(crate) fn ptr(&self, name: &str) -> Result<Relocatable, HintFailure> {
        Ok(get_ptr_from_var_name(name, self.vm, &self.data.ids_data, &self.data.ap_tracking)?)
    }

    /// Where a variable (a struct that is held by value, say) is.
    pub(crate) fn address(&self, name: &str) -> Result<Relocatable, HintFailure> {
        Ok(get_relocatable_from_var_name(
            name,
            self.vm,
            &self.data.ids_data,
            &self.data.ap_tracking,
        )?)
    }

    /// Where the struct is that the variable is, or points at: Cairo writes `x.field` for both.
    fn base(&self, name: &str) -> Result<Relocatable, HintFailure> {
        let reference = self.data.ids_data.get(name);
        let cairo_type = reference.and_then(|reference| reference.cairo_type.as_deref());
        match cairo_type {
            Some(cairo_type) if !cairo_type.ends_with('*') && cairo_type != "felt" => {
                self.address(name)
            }
            _ => self.ptr(name),
        }
    }

    /// A field of the struct that the variable is, or points at: a number.
    pub(crate) fn field(&self, name: &str, offset: usize) -> Result<Felt, HintFailure> {
        Ok(self.vm.get_integer((self.base(name)? + offset)?)?.into_owned())
    }

    /// A field of the struct that the variable is, or points at: a pointer.
    pub(crate) fn field_ptr(&self, name: &str, offset: usize) -> Result<Relocatable, HintFailure> {
        Ok(self.vm.get_relocatable((self.base(name)? + offset)?)?)
    }

    /// Assigns to a variable.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<MaybeRelocatable>) -> HintResult {
        Ok(insert_value_from_var_name(
            name,
            value,
            self.vm,
            &self.data.ids_data,
            &self.data.ap_tracking,
        )?)
    }

    /// Assigns a truth value to a variable.
    pub(crate) fn set_bit(&mut self, name: &str, value: bool) -> HintResult {
        self.set(name, Felt::from(value))
    }

    /// Writes what a `nondet` expression stands for: the cell at `ap`.
    pub(crate) fn set_ap(&mut self, value: impl Into<MaybeRelocatable>) -> HintResult {
        Ok(insert_value_into_ap(self.vm, value)?)
    }

    /// The same for a truth value.
    pub(crate) fn set_ap_bit(&mut self, value: bool) -> HintResult {
        self.set_ap(Felt::from(value))
    }

    /// Writes a `nondet` expression that the compiler put into a local variable.
    pub(crate) fn set_fp(
        &mut self,
        offset: usize,
        value: impl Into<MaybeRelocatable>,
    ) -> HintResult {
        let address = (self.vm.get_fp() + offset)?;
        Ok(self.vm.insert_value(address, value)?)
    }

    /// Puts felts into a new segment.
    pub(crate) fn new_segment(&mut self, felts: &[Felt]) -> Result<Relocatable, HintFailure> {
        let segment = self.vm.add_memory_segment();
        self.write(segment, felts)?;
        Ok(segment)
    }

    /// Writes felts from `address` on.
    pub(crate) fn write(&mut self, address: Relocatable, felts: &[Felt]) -> HintResult {
        let words: Vec<MaybeRelocatable> = felts.iter().map(|felt| (*felt).into()).collect();
        self.vm.load_data(address, &words)?;
        Ok(())
    }

    /// Reads felts from `address` on.
    pub(crate) fn read(
        &self,
        address: Relocatable,
        length: usize,
    ) -> Result<Vec<Felt>, HintFailure> {
        Ok(self
            .vm
            .get_integer_range(address, length)?
            .into_iter()
            .map(|felt| felt.into_owned())
            .collect())
    }

    /// Enters a scope that keeps the manager of the Cairo dictionaries and has `variables` besides.
    pub(crate) fn enter_scope<const N: usize>(
        &mut self,
        variables: [(&str, Box<dyn Any>); N],
    ) -> HintResult {
        let mut scope: HashMap<String, Box<dyn Any>> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Ok(manager) = self.scopes.get_dict_manager() {
            scope.insert("dict_manager".to_owned(), Box::new(manager));
        }
        self.scopes.enter_scope(scope);
        Ok(())
    }

    /// Looks a key up in the Cairo dictionary whose end the variable points at.
    pub(crate) fn dict_value(
        &self,
        end: Relocatable,
        what: &'static str,
        key: Felt,
    ) -> Result<MaybeRelocatable, HintFailure> {
        let manager = self.scopes.get_dict_manager()?;
        let mut manager = manager.borrow_mut();
        let tracker = manager.get_tracker_mut(end)?;
        match tracker.get_value(&key.into()) {
            Ok(value) => Ok(value.clone()),
            Err(_) => Err(HintFailure::Missing { what, key }),
        }
    }
}
